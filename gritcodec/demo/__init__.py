"""The listening page: `gritcodec demo`.

`server` starts it and serves its files, `page` lays it out in Gradio, `views` does what its buttons ask for and
knows no Gradio; `workspace` keeps what visitors bring and get, `coding`, `opus`, `compare`, `packetloss`,
`blindtest`, `pictures` do one thing each, `markup` turns results into HTML. Nothing in the library imports this
package but the command line, when the verb is called.
"""
