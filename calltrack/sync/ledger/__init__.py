"""The completeness ledger: an account's calls, at the provider and here, id by id, stretch of time by stretch of time.

`buckets` says which stretches there are and when each is checked; a check is a run whose pages `check` compares with
`calls` instead of storing them blindly; `settle` puts every id in exactly one state when the run is complete.
"""
