"""The core of the shop: what is sold, the rules of selling it, and the seams to the world."""
