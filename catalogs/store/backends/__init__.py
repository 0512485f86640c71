"""Where a store is: a folder, or a bucket of one of the clouds."""
