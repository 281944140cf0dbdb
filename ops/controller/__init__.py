"""The controller of the Redis cluster: repairs what Sentinel cannot heal and what is provably safe, tells of the rest.

A service of its own image, which holds this package and nothing else of the repository: it imports nothing of ours.
"""
