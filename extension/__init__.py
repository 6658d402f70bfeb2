"""Configuration, collection, storage, upload and supervision."""
