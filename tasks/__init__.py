"""The Celery edge: each task decodes its arguments and makes one engine call."""
