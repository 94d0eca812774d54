"""What proves who asks: tokens of people, keys of programs, and the secrets that tokens are signed with."""
