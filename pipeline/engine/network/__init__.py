"""Surgery on a network: trace it, cut it, prepare a faster copy, hook into its layers."""
