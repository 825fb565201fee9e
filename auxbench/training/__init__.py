"""A step and a run: gradients, balancers, architectures, phases, the loop.

`descent` and `loop` are the heart; `learner` builds a method for them.
"""
