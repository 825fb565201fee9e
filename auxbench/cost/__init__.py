"""What a run costs: training by passes, operations, seconds and memory; inference by its graph."""
