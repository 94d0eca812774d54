"""Sign-on through an OpenID Connect provider: what it says is proved first, then told apart from what is known here."""
