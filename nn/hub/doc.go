// Package hub fetches models by name, into the caches that other programs use.
//
//	c, err := hub.FromEnvironment(os.LookupEnv)
//	ref, ok := hub.ParseName("openai/clip-vit-base-patch16")
//	path, err := c.Model(ctx, ref) // a folder or file that nn/checkpoint opens
//
// Names are those people know: a repository of Hugging Face, owner/name or
// owner/name@revision; with hf-hub: before it, as open_clip writes it; or one
// of OpenAI's nine, as ViT-B/16.
//
// # The cache
//
// Repositories lie where huggingface_hub keeps them, in its layout, so that
// neither downloads what the other has:
//
//	models--owner--name/refs/main                the commit, 40 digits and no newline
//	models--owner--name/blobs/ETAG               content, named by its hash
//	models--owner--name/snapshots/COMMIT/a/file  -> ../../../blobs/ETAG
//	models--owner--name/trees/COMMIT.json        what the commit consists of
//	models--owner--name/.no_exist/COMMIT/file    the hub said that there is none
//	.locks/models--owner--name/ETAG.lock         flock(2) while a blob is written
//
// A blob may itself be a link into the store that repositories share
// (blobs/XX/HASH of the cache). It is never opened for writing: new content
// gets a file of its own, which takes the name over. OpenAI's archives lie in
// ~/.cache/clip, as the clip and open_clip packages have them.
//
// # What is checked
//
// A hub is a stranger, and so is whatever answers in its place. Everything
// that it sends is bounded. A blob takes its name only after its length and
// its hash (SHA-256, or git's SHA-1 of small files) have been compared with
// what the hub announced before; a listing, with what the file's own headers
// say. Names of files cannot leave the cache. Refs, links and listings are
// written after the files that they promise, so a failure leaves nothing
// behind that looks like a model. What arrived before a broken connection or
// an interrupt stays as ETAG.incomplete, and the next attempt goes on at that
// byte.
//
// The token goes to the endpoint's scheme, host and port and nowhere else,
// and into no message. Messages name addresses without their query, which is
// where file hosts carry signatures.
//
// # Without a network
//
// An answer from the cache in place of the network's is said aloud through
// [Client.Note]. That a file or revision is gone is an answer, and not
// replaced. Waiting follows Retry-After, in seconds or as a date, from the
// first time; a wait longer than people wait is an error that says so. A
// connection that is refused is tried again for 23 seconds, as by the Python
// library; a name that is not resolved, which is how most machines learn that
// there is no network, for one.
//
// # Not handled
//
// Xet's own protocol (files kept by it also come over plain HTTP, which is
// taken), uploads, data sets, and huggingface_hub's local_dir.
package hub
