"""Rendered scenes: crowded, themed pictures with large and small things, in which a person also has to search.

`collection(seed)` plans a held-out collection, and `cached(collection)` renders it into a folder of the cache.
`bundled` has the scenes of the demo, and draws its questions.
"""
