"""The HTTP control API: one router a noun over the server's services, one authorisation table, one error handler."""
