"""How `mini` was made: concepts, sprites, training pictures, training. Not part of the wheel."""
