"""Files of an archive that lie in object storage (S3): where they are, how they come here, and the copies that are kept of them."""
