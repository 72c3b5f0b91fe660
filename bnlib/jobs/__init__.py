"""What runs on several processes or on a cluster, what is kept of it on disk, and what it will cost."""
