"""How much dicts and queues take: the SDK says it before anything is sent, the server holds to it."""

MIB = 1024 * 1024

DICT_KEY_BYTES = 64 * 1024  # pickled, as all sizes here
DICT_VALUE_BYTES = 100 * MIB
DICT_INLINE_BYTES = 256 * 1024  # larger values go, and lie, beside the others
DICT_UPDATE_ENTRIES = 10_000

QUEUE_ITEM_BYTES = MIB
QUEUE_PARTITION_ITEMS = 5_000
QUEUE_PARTITION_BYTES = 64 * MIB
QUEUE_PARTITIONS = 100_000  # that hold items
PARTITION_NAME_BYTES = 64
PARTITION_TTL_S = 24 * 3600

REQUEST_BYTES = QUEUE_PARTITION_BYTES + MIB  # of one `put_many` or `update`
WAIT_S = 30.0  # how long a request may wait for an item or for room; who wants to wait longer asks again
LEASE_S = 90.0  # how long what is ephemeral outlives the last word of its client
