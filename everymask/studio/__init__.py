"""The studio: a page in the browser that does by hand what the library can do, on one's own machine.

    everymask studio PHOTO | FOLDER

document.py   the masks of one photo as a value, and the difference of two
actions.py    what a person can do, as data: (document, action) -> document
project.py    documents and their history in an SQLite file; what was accepted survives a crash
prompting.py  the prompts of an object to its mask, through ``ClickSession``
photos.py     the opened photos: pixels, tiles, features, within limits of memory
export.py     documents to files
server/       FastAPI: endpoints, the live channel, who may ask
web/          the page: ES modules, no build step, nothing from the network

Nothing here computes a mask: the public API of everymask does.
"""
