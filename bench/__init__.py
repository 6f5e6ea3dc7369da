"""What the shop does in a second, each figure beside the least that could do the same."""
