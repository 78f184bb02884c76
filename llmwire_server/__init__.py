"""The proxy around llmwire: sockets, pools, configuration, keys, storage.

It contains no protocol knowledge: which bytes an upstream wants and what its answer
means is decided by `llmwire`, which in turn knows nothing of what lies here.
"""
