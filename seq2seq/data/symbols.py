"""Ids of the special symbols, the same in every vocabulary."""

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
