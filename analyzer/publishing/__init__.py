"""Reports where others read them, and digests where others are told: folders, S3, SNS, webhooks.

The one room besides the collector that talks to AWS, and the only one that writes there: into the bucket
and the topic that the user named, and nowhere else.
"""
