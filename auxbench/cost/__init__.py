"""The costs of a method: passes, FLOPs and seconds of training, and those of deployment."""
