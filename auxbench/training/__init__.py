"""Training: gradients, balancers, architectures, phases, and the training loop.

`descent` (one step) and `loop` (a whole run) are the core; `learner` builds a method for them.
"""
