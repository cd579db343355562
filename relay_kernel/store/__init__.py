"""Content-addressed chunks and manifests on disk."""
