"""The store: the only room that speaks SQL.

Everything here is a function of a transaction (``posthouse.store.transaction.Transaction``) that runs inside
``IDatabase.write`` or ``IDatabase.read``. No function here knows a protocol number, waits, or has an effect
other than SQL: the writer may run it twice.
"""
