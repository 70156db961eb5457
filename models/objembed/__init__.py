"""Objects embedded where they stand in the photo, each with its predicted IoU (ObjEmbed, arXiv 2602.01753)."""
