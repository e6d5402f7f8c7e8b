"""Training methods: each makes a loss of a batch from every source domain."""
