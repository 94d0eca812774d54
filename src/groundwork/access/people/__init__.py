"""People: their accounts, passwords and logins."""
