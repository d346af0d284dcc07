(() => {
  // All answers come on one stream, which the server ends when nothing is left to answer. What is asked before the page
  // hears of that end is answered on a stream that Gradio (6.31) takes for open and is not: a click then does nothing until
  // the next one. So an end that somebody still waits behind is kept from the page, and the stream taken up again.
  const ask = window.fetch;
  const ended = /^data:\s*\{"msg":\s*"close_stream"/, answered = /"msg":\s*"process_completed"/;
  const awaited = new Set();
  let closed = Promise.resolve();
  const hear = (state) => {
    let rest = "";
    return new TransformStream({ transform(text, out) {
      const messages = (rest + text).split("\n\n");
      rest = messages.pop();
      for (const message of messages) {
        if (answered.test(message)) awaited.delete(JSON.parse(message.replace(/^data:/, "")).event_id);
        if (ended.test(message)) {
          state.again = awaited.size > 0;
          if (state.again) continue;
          // Whoever is told of the end has a moment to believe it before the next question counts as asked.
          closed = new Promise((go) => setTimeout(go, 50));
        }
        out.enqueue(message + "\n\n");
      }
    } });
  };
  const follow = async (answer, address, signal, sink) => {
    try {
      for (let part = answer, state; ; part = await ask(address, { signal })) {
        if (!part.ok || !part.body) break;
        state = { again: false };
        const text = part.body.pipeThrough(new TextDecoderStream()).pipeThrough(hear(state)).pipeThrough(new TextEncoderStream());
        await text.pipeTo(sink, { preventClose: true, signal });
        if (!state.again) break;
      }
      await sink.close();
    } catch (error) {
      await sink.abort(error).catch(() => {});
    }
  };
  window.fetch = async function (what, options) {
    const answer = await ask.call(this, what, options);
    const { href, pathname } = new URL(what.url ?? what, location.href);
    if (answer.ok && pathname.endsWith("/queue/join")) {
      awaited.add((await answer.clone().json()).event_id);
      await closed;
    }
    if (!answer.ok || !answer.body || !pathname.endsWith("/queue/data")) return answer;
    const { readable, writable } = new TransformStream();
    follow(answer, href, what.signal ?? options?.signal, writable);
    return new Response(readable, { headers: answer.headers });
  };
})();
