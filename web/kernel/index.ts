export { panels16, panels32, linear, norm, depthwise, gelu, latents } from './network'
export { search, searchBytes } from './search'
export { products, squeeze, frequencies, begin, symbol } from './entropy'
