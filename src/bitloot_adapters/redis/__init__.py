"""Redis or Valkey: a doorbell for workers, limits, codes, wake-ups and cached answers."""
