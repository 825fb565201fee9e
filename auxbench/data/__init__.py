"""Data: data sets, problems, their splits and batches, losses and metrics.

A data set on disk is converted once into the prepared form (`prepared`), from which batches are
read. All randomness of a run comes from `seeds`.
"""
