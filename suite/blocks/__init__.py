"""Blocks of several layers as workloads: described once as a graph, and computed of it in several ways."""
