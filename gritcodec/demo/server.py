"""Starts the page: its own small web server, which answers this machine alone unless told otherwise."""

import contextlib
import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from gritcodec import messages
from gritcodec.demo.limits import Limits
from gritcodec.demo.workspace import Workspace
from gritcodec.errors import UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# The browser itself refuses whatever is not from here: no fonts, scripts, pictures or reports from or to the web.
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'self'; base-uri 'self'; "
    "frame-ancestors 'self'; object-src 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Guard:
    """Stands before the page: names it answers to, what it never fetches, and what the browser may load."""

    def __init__(self, app: Asgi, hosts: tuple[str, ...] | None) -> None:
        """Guard an application; `hosts` are the names it answers to, None for any."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        # Another web page could give its own name the address of this machine: its requests carry that name.
        stranger = self._hosts is not None and host.rpartition(":")[0] not in self._hosts and host not in self._hosts
        # Gradio would fetch an address on a visitor's behalf.
        fetching = "file=http" in scope["path"].lower()
        if stranger or fetching:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"not allowed\n"})
            return

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, receive, answer)


def run(model: str, host: str, port: int, show: bool | None, limits: Limits) -> None:
    """Serve the page until the process is interrupted or terminated.

    Args:
        model: a shipped model's name or a folder.
        host: address to listen on.
        port: 0 for any that is free.
        show: whether to open a browser; None: if there is a screen.
        limits: what visitors may ask for.

    Raises:
        UsageError: the port is taken, or the address is none of this machine.
        ModelError: there is no such model.
    """
    listener = _listen(host, port)
    workspace = Workspace(limits.idle_seconds)
    try:
        # Gradio reads these when it is imported.
        os.environ["GRADIO_TEMP_DIR"] = str(workspace.uploads)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        import uvicorn

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                # Asked a second time it would leave in the middle, with tracebacks; it ends within two seconds anyway.
                if not self.should_exit:
                    # Pages that are open hold a connection each: cutting those off is no error to tell of.
                    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
                    super().handle_exit(sig, frame)

        server = Server(
            uvicorn.Config(
                application(model, host, workspace, limits), log_level="warning", timeout_graceful_shutdown=2
            )
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        print(f"gritcodec demo: {address} (Ctrl-C ends it)", flush=True)
        if not _is_loopback(host):
            messages.note("everybody who can reach this machine can use the page")
        if _has_screen() if show is None else show:
            webbrowser.open(address)
        server.run(sockets=[listener])
    finally:
        listener.close()
        workspace.close()


def application(model: str, host: str, workspace: Workspace, limits: Limits) -> Asgi:
    """Return the web application.

    Args:
        model: a shipped model's name or a folder.
        host: the address it listens on.
        workspace: where visitors' files are.
        limits: what visitors may ask for.
    """
    import gradio as gr
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import FileResponse, Response

    from gritcodec.codec.codec import load
    from gritcodec.demo import page, views
    from gritcodec.page import serve

    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @site.get("/sound/{token}/{name}")
    @site.head("/sound/{token}/{name}")
    def sound(token: str, name: str) -> FileResponse:
        # The token alone chooses the file; the name is for the visitor's eyes.
        found = workspace.find(token)
        if found is None or not found[0].is_file():
            raise HTTPException(404)
        kind = {".wav": "audio/wav", ".png": "image/png"}.get(found[0].suffix, "application/octet-stream")
        return FileResponse(found[0], media_type=kind, filename=found[1], content_disposition_type="inline")

    @site.get("/player/{name:path}")
    def player(name: str) -> Response:
        found = serve.find(model, name) if playable else None
        if found is None:
            raise HTTPException(404)
        return Response(found[0], media_type=found[1])

    playable = serve.is_playable(model)
    blocks = page.build(views.Views(load(model), workspace, limits), playable)
    gr.mount_gradio_app(
        site,
        blocks,
        "/",
        footer_links=[],
        show_error=False,
        max_file_size=limits.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=page.theme(),
        css=page.CSS,
        head=page.HEAD,
        i18n=page.WORDS,
    )
    # Otherwise Gradio takes the page for one that is still being built, and lets any file through.
    blocks.has_launched = True
    return Guard(site, (*_LOOPBACK, host) if _is_loopback(host) else None)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything heavy is loaded: it may be taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host}, port {port}: {reason}; choose another with --port") from error
    return listener


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _has_screen() -> bool:
    if not sys.stdout.isatty():
        return False
    with contextlib.suppress(webbrowser.Error):
        webbrowser.get()
        return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return False
