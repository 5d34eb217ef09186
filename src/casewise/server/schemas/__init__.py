"""What the calls under ``/api/v1`` take and give, as the OpenAPI document states it; one file a subject."""
