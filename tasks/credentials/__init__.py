"""Content Credentials (C2PA): signed manifests that say what a file is and how it was made."""
