// Package adapter learns something small behind, beside or inside a frozen CLIP.
//
//   - [Tip]: Tip-Adapter (Zhang et al., ECCV 2022), a cache of the training images' features, whose two weights are searched
//     on validation images; [TipF] is Tip-Adapter-F, which trains the cache's keys.
//   - [ClipAdapter]: CLIP-Adapter (Gao et al., IJCV 2023), two small layers behind the image encoder.
//   - [TaskRes]: task residuals (Yu et al., CVPR 2023), a learned sum to the text classifier.
//   - [LoRA]: CLIP-LoRA (Zanella and Ben Ayed, CVPRW 2024), paths of low rank beside the attention of the encoders.
//
// All but the search are learners of package train. The encoder of all but LoRA, which needs CLIP's own, may be CLIP's, under masks or not, or
// [train.Identity] for features that were computed once ([train.Cached]): images in new crops at each epoch, or those of a few passes again and again.
package adapter
