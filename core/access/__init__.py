"""Who may do what: roles, the table of rights, accounts and their tokens."""
