/** How a carrier wants the called number: +13035550142, 13035550142, or 3035550142. */
export const NUMBER_FORMATS = ['e164', 'plain', 'national'] as const;
export type NumberFormat = (typeof NUMBER_FORMATS)[number];
