"""Who may read what. One place decides it, and every search, list and text takes its scope from here."""
