"""The page of static files: plays and records .grit files in any browser, hosted by any web server.

What is in `static` is built from web/ by `node web/build.mjs`; a test holds it to that.
"""
