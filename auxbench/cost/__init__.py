"""The costs of a method: passes, FLOPs and seconds of training, and the deployed network."""
