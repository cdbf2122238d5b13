"""Finding what lies near: exact search by cosine."""
