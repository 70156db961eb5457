"""The page of `sorce serve --page`: search in a browser, see where things are in the photos, and take hits away.

guard.py        what comes in: the path below a proxy, foreign origins, the key; and the headers of every answer
users.py        who asks the cluster: the service's own user, or the caller
indices.py      the indices that are served; fields.py: what their photos can be filtered by
bodies.py       the JSON of a search; searching.py: its answer; details.py: what hits show beyond the search's answer
photos.py       one photo by its id: its document, and its file below the roots
pictures.py     thumbnails, views, crops and tiles of a photo; pyramid.py: a photo in tiles; cache.py: kept on disk
uploads.py      pictures that callers bring along to search by
routes.py, picture_routes.py, session_routes.py    the addresses
"""
