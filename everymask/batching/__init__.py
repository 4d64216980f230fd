"""Masks of more photos than a machine holds: ``em.batch`` and ``everymask batch``.

In the order of a run: ``listing.py`` finds the photos, ``plan.py`` groups those that are missing into parts,
``reading.py`` fetches their bytes, ``worker.py`` makes a part's rows with one model, ``pipeline.py`` lays
the three out on Ray Data, ``run.py`` is the whole. ``storage.py`` is files here and in object storage.

Exactly once: a photo as it is now has a ticket; a ticket is in one planned part; a part has one name, and
lands whole or not at all. Whoever makes a part again writes the same rows under the same name.
"""
