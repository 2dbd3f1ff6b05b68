"""What each real client registers, asks and sends, as data with its sources: replayed here, and shown in docs/clients.md."""
