"""From the provider to the row: plan, fetch, store; land and process deliveries; sweep up what got stuck."""
