"""Clips in the studio: objects followed from frame to frame, corrected where they were lost.

store.py      the values of a clip and their history in the project file
record.py     what those values are: objects, prompts, masks by frame
actions.py    what a person can do, as data
following.py  the library's tracker session, kept in agreement with the record
clip.py       what every endpoint asks and does
export.py     a clip's masks to files and pictures
"""
