"""Changes to existing documents, made by scripts: vectors stay as they are and nothing is read first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sorce.mappings.document import attributes_json, file_fields
from sorce.mappings.values import Attribute, PhotoFile

Json = dict[str, Any]

# A `doc` update would replace `regions` as a whole: only a script can change fields inside each region.
_FUNCTIONS = """
boolean put(Map to, Map given) {
  boolean changed = false;
  for (def each : given.entrySet()) {
    if (!each.getValue().equals(to.get(each.getKey()))) { to.put(each.getKey(), each.getValue()); changed = true; }
  }
  return changed;
}
boolean attribute(Map photo, Map given) {
  if (given.isEmpty()) { return false; }
  boolean changed = false;
  if (photo.attributes == null) { photo.attributes = new HashMap(); }
  changed = put(photo.attributes, given);
  for (def region : photo.regions) {
    if (region.attributes == null) { region.attributes = new HashMap(); }
    changed = put(region.attributes, given) || changed;
  }
  return changed;
}
"""

CHANGE = (
    _FUNCTIONS
    + """
Map photo = ctx._source;
boolean changed = attribute(photo, params.attributes);
if (params.content_hash.equals(photo.content_hash)) {
  changed = put(photo, params.fields) || changed;
  if (photo.taken_at != null && photo.taken_on == null) {
    String day = photo.taken_at.substring(0, 10);
    photo.taken_on = day;
    for (def region : photo.regions) { region.taken_on = day; }
    changed = true;
  }
}
if (!changed) { ctx.op = 'none'; }
"""
)
"""Sets attributes and known facts of the file; the latter only if the photo's content has not changed."""

MERGE = (
    _FUNCTIONS
    + """
Map photo = ctx._source;
Map mine = params.document;
if (mine.content_hash.equals(photo.content_hash) && Objects.equals(mine.recipe_hash, photo.recipe_hash)) {
  if (!attribute(photo, params.attributes)) { ctx.op = 'none'; }
} else {
  if (photo.attributes != null) {
    Map all = new HashMap(photo.attributes);
    all.putAll(params.attributes);
    attribute(mine, all);
  }
  photo.clear();
  photo.putAll(mine);
}
"""
)
"""Overwrites a document that another run has written meanwhile. Attributes that this run does not set are kept."""


def change(file: PhotoFile, recipe_hash: str, attributes: Mapping[str, Attribute]) -> Json:
    """The update of a photo with unchanged content: sets these attributes and all fields of schema 2."""
    params = {
        "attributes": attributes_json(attributes),
        "content_hash": file.content_hash,
        "fields": {"recipe_hash": recipe_hash, **file_fields(file)},
    }
    return {"script": {"source": CHANGE, "params": params}}


def carry(attributes: Mapping[str, Attribute]) -> Json:
    """The update that sets attributes and nothing else."""
    params = {"attributes": attributes_json(attributes), "content_hash": "", "fields": {}}
    return {"script": {"source": CHANGE, "params": params}}


def merge(document: object, attributes: Mapping[str, Attribute]) -> Json:
    """The update that writes a document whatever its state is now; `attributes` are those of this run.

    `document` is an object that is serialised to the document's JSON.
    """
    params = {"attributes": attributes_json(attributes), "document": document}
    return {"scripted_upsert": True, "script": {"source": MERGE, "params": params}, "upsert": {}}
