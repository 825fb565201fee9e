"""What a method costs: passes, FLOPs and seconds of training, and the deployed network."""
