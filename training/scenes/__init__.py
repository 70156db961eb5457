"""Rendered scenes: full, themed pictures with large and small things, where a person has to search too.

`collection(seed)` plans a held-out collection, `cached(collection)` renders it into a folder of the cache;
`bundled` has the scenes of the demo and draws its questions.
"""
