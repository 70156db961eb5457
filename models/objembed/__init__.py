"""Objects embedded in the context of the photo, each with its predicted IoU (ObjEmbed, arXiv 2602.01753)."""
